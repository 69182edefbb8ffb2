"""What the row `syscall` is made of: a scripted process, the calls that fail, what must hold."""
