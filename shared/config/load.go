package config

import "time"

// Sources are what a configuration is made of.
type Sources struct {
	// JSON is the configuration file; empty when there is none.
	JSON []byte
	// LookupEnv is like os.LookupEnv. Nil: no environment.
	LookupEnv func(string) (string, bool)
	// ReadFile is like os.ReadFile, for the *_file keys. Nil: there are no
	// files.
	ReadFile func(string) ([]byte, error)
	// Unresolved leaves secrets as they were given, references as references.
	Unresolved bool
}

// Load makes the configuration, complete and valid, for the native server. The
// error is Problems, with all that is wrong in any of the sources.
func Load(s Sources) (*Config, error) { return load(s, (*Config).validate) }

// LoadFilter is Load for the filter, see ValidateFilter.
func LoadFilter(s Sources) (*Config, error) { return load(s, (*Config).validateFilter) }

// load is told how the configuration is validated, so that the filter has
// nothing of what only the server checks.
func load(s Sources, validate func(*Config) Problems) (*Config, error) {
	c, problems := parse(s.JSON)
	if problems.about("") {
		return nil, problems // the file says nothing at all
	}
	if s.LookupEnv != nil {
		problems = append(problems, c.applyEnv(s.LookupEnv)...)
	}
	// A key whose value was wrong has its default, which may be nothing: no
	// second complaint about it.
	wrong := problems
	for _, p := range validate(c) {
		if !wrong.about(p.Path) {
			problems = append(problems, p)
		}
	}
	if problems != nil {
		return nil, problems
	}
	if s.Unresolved {
		return c, nil
	}
	if err := c.ResolveSecrets(s.LookupEnv, s.ReadFile); err != nil {
		return nil, err
	}
	return c, nil
}

// Validate checks what concerns several keys, and that the required ones are
// set, for the native server. It comes before ResolveSecrets. The error is
// Problems.
func (c *Config) Validate() error { return c.validate().err() }

// ValidateFilter is Validate for the filter, which needs no backend URL (Envoy's
// route names the upstream) and can read no files.
func (c *Config) ValidateFilter() error { return c.validateFilter().err() }

func (c *Config) validate() Problems {
	var ps Problems
	c.validateKeys(&ps, false)
	c.validateTransport(&ps)
	c.validateState(&ps)
	c.validateLimits(&ps)
	c.validateTelemetry(&ps)
	return ps
}

func (c *Config) validateFilter() Problems {
	var ps Problems
	c.validateKeys(&ps, true)
	c.transportLess(&ps)
	c.stateless(&ps)
	c.limitless(&ps)
	c.promptless(&ps)
	c.inMemory(&ps)
	return ps
}

// validateKeys checks what the server and the filter check alike, or nearly so.
func (c *Config) validateKeys(ps *Problems, filter bool) {
	ps.required("engine.provider", string(c.Engine.Provider))
	if !filter && len(c.Routes) == 0 {
		ps.required("engine.backend_url", c.Engine.BackendURL)
	}
	for _, s := range secrets {
		given := 0
		for _, is := range []bool{s.value(c).IsSet(), *s.file(c) != "", *s.env(c) != ""} {
			if is {
				given++
			}
		}
		_, name := cut(s.path)
		if given > 1 {
			ps.add(s.path, "", "set only one of "+name+", "+name+"_file and "+name+"_env")
		}
		if filter && *s.file(c) != "" {
			ps.add(s.path+"_file", "", "the filter sees no files: use "+name+"_env with a variable of vmConfig.env")
		}
	}
	inOrder(ps, FormatDuration, "engine.retry.base_delay", c.Engine.Retry.BaseDelay, "engine.retry.max_delay", c.Engine.Retry.MaxDelay)
	inOrder(ps, formatSize, "limits.request_body_bytes", c.Limits.RequestBodyBytes, "limits.decoded_body_bytes", c.Limits.DecodedBodyBytes)
	if len(c.Routes) > 0 {
		inOrder(ps, FormatDuration, "routing.eject_time", c.Routing.EjectTime, "routing.max_eject_time", c.Routing.MaxEjectTime)
	}
	if filter {
		inOrder(ps, formatSize, "limits.request_body_bytes", c.Limits.RequestBodyBytes, "limits.in_flight_bytes", c.Limits.InFlight(true))
	}
	c.validateListeners(ps)
	c.validateAuth(ps, filter)
	c.validateSealing(ps, filter)
	c.validateRoutes(ps, filter)
}

// required refuses a key that is not set.
func (ps *Problems) required(path, given string) {
	if given == "" {
		ps.add(path, "", "must be set, here or by "+variableOf(path)+", to "+find(path).value.want())
	}
}

// inOrder refuses a lower bound above its upper one.
func inOrder[T time.Duration | int64](ps *Problems, format func(T) string, small string, low T, great string, high T) {
	if low > high {
		ps.add(small, "", "must not be greater than "+great+": got "+format(low)+" and "+format(high))
	}
}

// ResolveSecrets reads the secrets that are given by reference, through
// functions like os.LookupEnv and os.ReadFile; either may be nil when there is
// nothing of the kind. It is the last step. The error is Problems.
func (c *Config) ResolveSecrets(lookup func(string) (string, bool), readFile func(string) ([]byte, error)) error {
	var ps Problems
	for _, s := range secrets {
		if *s.file(c) == "" && *s.env(c) == "" {
			continue
		}
		path, found, problem := resolveSecret(s.path, *s.file(c), *s.env(c), lookup, readFile)
		if problem != "" {
			ps.add(path, "", problem)
			continue
		}
		*s.value(c) = NewSecret(found)
	}
	c.resolvedState(&ps)
	c.resolvedLimits(&ps)
	c.resolvedTelemetry(&ps)
	c.resolveRoutes(&ps, lookup, readFile)
	c.resolveAPIKeys(&ps, lookup, readFile)
	c.resolveSealing(&ps, lookup, readFile)
	return ps.err()
}
