"""Images: the table of data sets, their preparation, and one path to uint8 batches."""
