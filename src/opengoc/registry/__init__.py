"""Facilities, sites, resources, services, VOs, contacts, downtimes."""
