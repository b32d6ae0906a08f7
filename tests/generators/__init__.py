"""Clients that generators make of the OpenAPI document, compiled and used against a service: `make generators`."""
