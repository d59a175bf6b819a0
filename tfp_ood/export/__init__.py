"""What is shipped of a trained model: a SavedModel with a guard, its card, and an example client."""
