"""Programs that run in the SDKs' environments, called by path; they must never import ours."""
