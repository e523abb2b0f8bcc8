"""The only room that talks to HTCondor."""
