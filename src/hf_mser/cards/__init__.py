"""Cards: the templates of `model_cards/`, filled in from results files and run folders. Nobody types a number."""
