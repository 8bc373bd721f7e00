"""A demonstration: a broker over the GEANT network, and a content delivery network on it."""
