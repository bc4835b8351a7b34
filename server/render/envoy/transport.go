package envoy

// transport is TLS with the backend's name checked, or nothing.
func (r *renderer) transport(b backend) any {
	if !b.tls {
		return nil
	}
	kind, host, name := "DNS", b.host, any(b.host)
	switch {
	case b.files.ServerName != "":
		host, name = b.files.ServerName, b.files.ServerName
	case b.ip:
		kind, name = "IP_ADDRESS", nil // RFC 6066 section 3: addresses are no server names
	}
	alpn := list{"http/1.1"}
	if b.http2 {
		alpn = list{"h2", "http/1.1"}
	}
	authorities := object{{"filename", r.o.Roots}}
	if b.files.CAFile != "" {
		authorities = r.content(b.files.CAFile)
	}
	common := object{
		{"tls_params", object{{"tls_minimum_protocol_version", "TLSv1_2"}}},
		{"alpn_protocols", alpn},
		{"validation_context", object{
			{"trusted_ca", authorities},
			{"match_typed_subject_alt_names", list{object{
				{"san_type", kind}, {"matcher", object{{"exact", host}}},
			}}},
		}},
	}
	if b.files.CertFile != "" {
		common = append(common, member{"tls_certificates", list{object{
			{"certificate_chain", r.content(b.files.CertFile)},
			{"private_key", r.content(b.files.KeyFile)},
		}}})
	}
	return extension("envoy.transport_sockets.tls", "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", object{
		{"sni", name},
		{"common_tls_context", common},
	})
}

// content is a file that the configuration names. A supervised Envoy is given
// what is in it, so that a changed one is a changed cluster.
func (r *renderer) content(path string) object {
	if s := r.o.Supervised; s != nil {
		if b, has := s.Backends[path]; has {
			return object{{"inline_string", string(b)}}
		}
	}
	return object{{"filename", path}}
}

// protocol is the HTTP version for the backend's cluster.
func (b *backend) protocol() member {
	one, two := member{"http_protocol_options", object{}}, member{"http2_protocol_options", object{}}
	switch {
	case b.http2 && b.tls:
		return member{"auto_config", object{one, two}}
	case b.http2:
		return member{"explicit_http_config", object{two}}
	}
	return member{"explicit_http_config", object{one}}
}

// healthALPN and healthCodec are the protocol of health checks, which Envoy does
// not negotiate.
func (b *backend) healthALPN() member {
	if !b.http2 || !b.tls {
		return member{"tls_options", nil}
	}
	return member{"tls_options", object{{"alpn_protocols", list{"http/1.1"}}}}
}

func (b *backend) healthCodec() member {
	if !b.http2 || b.tls {
		return member{"codec_client_type", nil}
	}
	return member{"codec_client_type", "HTTP2"}
}
