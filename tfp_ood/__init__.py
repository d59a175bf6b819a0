"""When can the likelihood of a deep generative model be trusted? See README.md."""
