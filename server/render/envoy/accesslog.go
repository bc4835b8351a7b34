package envoy

import "strings"

// accessLog writes a line for each request, of the form of the native server's
// log: no header but the request id and who calls, no query, no body.
func (r *renderer) accessLog() any {
	failed := r.requestLog("WARN", allOf(statusFilter("GE", 500), expression(noProbe)))
	switch r.c.Observability.Log.Level {
	case "error":
		return nil
	case "warn":
		return list{failed}
	case "debug":
		return list{r.requestLog("INFO", statusFilter("LE", 499)), r.requestLog("WARN", statusFilter("GE", 500))}
	}
	return list{r.requestLog("INFO", allOf(statusFilter("LE", 499), outsideProbes())), failed}
}

// noProbe holds for requests that are not probes; one that Envoy refuses at
// once has no route. Evaluating it takes 5 µs, as much as the log line.
const noProbe = "!has(xds.route_name) || xds.route_name != '" + probeRoute + "'"

// outsideProbes holds for what noProbe does and is free: of all that is
// answered 200 only the API lies under /v1, be it behind a backend's base path.
func outsideProbes() object {
	api := object{{"header_filter", object{{"header", object{{"name", ":path"}, {"string_match", object{{"contains", "/v1/"}}}}}}}}
	return object{{"or_filter", object{{"filters", list{api, statusFilter("LE", 199), statusFilter("GE", 201)}}}}}
}

// requestFields follow time, level and message. The route is the client's; the
// path is the one that the filter has made of it.
var requestFields = object{
	{"request_id", "%REQ(X-REQUEST-ID)%"},
	{"method", "%REQ(:METHOD)%"},
	{"route", "%ROUTE_NAME%"},
	{"path", "%REQ_WITHOUT_QUERY(X-ENVOY-ORIGINAL-PATH?:PATH):256%"},
	{"status", "%RESPONSE_CODE%"},
	{"duration_ms", "%DURATION%"},
	{"first_byte_ms", "%RESPONSE_DURATION%"},
	{"bytes", "%BYTES_SENT%"},
	{"attempts", "%UPSTREAM_REQUEST_ATTEMPT_COUNT%"},
	{"subject", "%REQ(X-ANTWORT-SUBJECT)%"},
	{"tenant", "%REQ(X-ANTWORT-TENANT)%"},
	{"dropped_tools", "%RESP(X-ANTWORT-DROPPED-TOOLS)%"},
	{"failure", "%RESPONSE_FLAGS_LONG%"},
	{"cause", "%RESPONSE_CODE_DETAILS%"},
}

func (r *renderer) requestLog(level string, filter object) object {
	fields := append(object{
		{"time", "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%"}, {"level", level}, {"msg", "request"},
	}, requestFields...)
	format := object{
		{"formatters", list{extension("envoy.formatter.req_without_query", "envoy.extensions.formatter.req_without_query.v3.ReqWithoutQuery", nil)}},
	}
	if r.c.Observability.Log.Format == "text" {
		format = append(format, member{"text_format_source", object{{"inline_string", textLine(fields)}}})
	} else {
		format = append(format, member{"omit_empty_values", true}, member{"json_format", fields})
	}
	log := extension("envoy.access_loggers.stdout", "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog", object{{"log_format", format}})
	return append(log, member{"filter", filter})
}

// textLine is a line of key=value pairs.
func textLine(fields object) string {
	pairs := make([]string, len(fields))
	for i, f := range fields {
		pairs[i] = f.name + "=" + f.value.(string)
	}
	return strings.Join(pairs, " ") + "\n"
}
