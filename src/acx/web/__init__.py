"""The doors: each parses, authorises, calls a service, and renders."""
