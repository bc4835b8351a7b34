package envoy

// serverCertificate names what clients see (server.tls).
const serverCertificate = "server"

// certificate is server.tls as a resource of its own, so that a changed one is
// used by the next connection and no other notices.
func (r *renderer) certificate() object {
	return object{
		{"name", serverCertificate},
		{"tls_certificate", object{
			{"certificate_chain", object{{"inline_string", string(r.o.Supervised.Certificate)}}},
			{"private_key", object{{"inline_string", string(r.o.Supervised.Key)}}},
		}},
	}
}

// downstreamTLS is HTTPS for clients, with HTTP/2 and HTTP/1.1.
func (r *renderer) downstreamTLS() object {
	common := object{
		{"tls_params", object{{"tls_minimum_protocol_version", "TLSv1_2"}}},
		{"alpn_protocols", list{"h2", "http/1.1"}},
	}
	if r.o.Supervised != nil {
		common = append(common, member{"tls_certificate_sds_secret_configs", list{
			object{{"name", serverCertificate}, {"sds_config", r.source(CertificateFile)}},
		}})
	} else {
		t := r.c.Server.TLS
		common = append(common, member{"tls_certificates", list{object{
			{"certificate_chain", object{{"filename", t.CertFile}}},
			{"private_key", object{{"filename", t.KeyFile}}},
		}}})
	}
	return extension("envoy.transport_sockets.tls", "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext", object{{"common_tls_context", common}})
}
