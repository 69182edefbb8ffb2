"""What a result looks like: tables and trees for people, JSON, YAML and names for programs."""
