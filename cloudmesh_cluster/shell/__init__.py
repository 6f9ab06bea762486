"""What a person meets: arguments, progress, tables, exit statuses."""
