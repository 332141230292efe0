WHERE = "relative"
