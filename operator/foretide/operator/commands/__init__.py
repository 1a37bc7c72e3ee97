"""The commands of `foretide`, a module for each."""
