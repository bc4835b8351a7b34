package config

// reader walks a document and sets what it finds.
type reader struct {
	config   *Config
	problems Problems
}
