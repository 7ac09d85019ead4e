"""A stand-in: of the packages that the stand-in of atc asks for only the names count."""
