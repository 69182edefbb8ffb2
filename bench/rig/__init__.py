"""What the benches share: rounds and reports, the load, the product as a process."""
