"""The commands `dpb bench ...`: options in, results out."""
