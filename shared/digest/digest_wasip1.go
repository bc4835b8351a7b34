package digest

// Of is the digest of a text.
func Of(text string) [Size]byte { return sum(text) }
