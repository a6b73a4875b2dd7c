"""What rows are, from a few that are labelled: Classifier and Regressor."""
