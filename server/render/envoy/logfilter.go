package envoy

// Filters of log lines and of Envoy's own replies, which are chosen in the same way.

func allOf(filters ...any) object {
	return object{{"and_filter", object{{"filters", list(filters)}}}}
}

func statusFilter(op string, status int) object {
	return object{{"status_code_filter", object{{"comparison", object{
		{"op", op}, {"value", object{{"default_value", status}, {"runtime_key", "antwort.status"}}},
	}}}}}
}

func expression(text string) object {
	return object{{"extension_filter", extension("envoy.access_loggers.extension_filters.cel",
		"envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter", object{{"expression", text}})}}
}

// flagged is any of these of Envoy's response flags.
func flagged(flags ...string) object {
	return object{{"response_flag_filter", object{{"flags", flags}}}}
}
