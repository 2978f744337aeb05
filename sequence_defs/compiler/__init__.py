"""From definition modules to a portable release."""
