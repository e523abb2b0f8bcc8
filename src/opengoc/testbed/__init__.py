"""A real grid on one machine: pool, sites, VOs, jobs."""
