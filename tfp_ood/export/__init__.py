"""What is shipped of a trained model: a SavedModel with a guard, its card, an example client."""
