package config

// Sources are what a configuration is made of.
type Sources struct {
	// JSON is the configuration file; empty when there is none.
	JSON []byte
	// LookupEnv is like os.LookupEnv. Nil: no environment.
	LookupEnv func(string) (string, bool)
	// ReadFile is like os.ReadFile, for the *_file keys. Nil: there are no
	// files.
	ReadFile func(string) ([]byte, error)
	// Filter asks for what the filter needs and can do, see ValidateFilter.
	Filter bool
	// Unresolved leaves secrets as they were given, references as references.
	Unresolved bool
}

// Load makes the configuration, complete and valid. The error is Problems, with
// all that is wrong in any of the sources.
func Load(s Sources) (*Config, error) {
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
	for _, p := range c.validate(s.Filter) {
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
func (c *Config) Validate() error { return c.validate(false).err() }

// ValidateFilter is Validate for the filter, which needs no backend URL (Envoy's
// route names the upstream) and can read no files.
func (c *Config) ValidateFilter() error { return c.validate(true).err() }

func (c *Config) validate(filter bool) Problems {
	var ps Problems
	for _, k := range table {
		optional := k.path == "engine.backend_url" && (filter || len(c.Routes) > 0)
		if k.require && k.value.text(c) == "" && !optional {
			ps.add(k.path, "", "must be set, here or by "+variableOf(k.path)+", to "+k.value.want())
		}
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
	order := func(small, great string, inOrder bool) {
		if !inOrder {
			ps.add(small, "", "must not be greater than "+great+": got "+find(small).value.text(c)+" and "+find(great).value.text(c))
		}
	}
	order("engine.retry.base_delay", "engine.retry.max_delay", c.Engine.Retry.BaseDelay <= c.Engine.Retry.MaxDelay)
	order("limits.request_body_bytes", "limits.decoded_body_bytes", c.Limits.RequestBodyBytes <= c.Limits.DecodedBodyBytes)
	if len(c.Routes) > 0 {
		order("routing.eject_time", "routing.max_eject_time", c.Routing.EjectTime <= c.Routing.MaxEjectTime)
	}
	if filter {
		order("limits.request_body_bytes", "limits.in_flight_bytes", c.Limits.RequestBodyBytes <= c.Limits.InFlight(true))
	}
	c.validateListeners(&ps)
	c.validateAuth(&ps, filter)
	c.validateRoutes(&ps, filter)
	c.validateTransport(&ps, filter)
	c.validateState(&ps, filter)
	return ps
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
	c.resolveRoutes(&ps, lookup, readFile)
	c.resolveAPIKeys(&ps, lookup, readFile)
	return ps.err()
}
