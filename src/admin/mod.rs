//! Health, readiness, metrics and debug endpoints.
