package config

func (routeList) schema(dst []byte, _ *Config) []byte {
	return append(dst, `"type":"array","maxItems":200,"items":{"type":"object","additionalProperties":false,"required":["name","backends"],"properties":{`+
		`"name":{"type":"string","pattern":"^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$","description":"What logs and metrics call the route."},`+
		`"match":{"type":"object","additionalProperties":false,"description":"Which requests: those that fit all that is given.","properties":{`+
		`"models":`+someTexts+`"Names of models, in which * stands for any text."},`+
		`"tenants":`+someTexts+`"Tenants of callers."},`+
		`"headers":{"type":"object","minProperties":1,"maxProperties":100,"additionalProperties":{"type":"string","minLength":1,"maxLength":256},`+
		`"description":"Header fields, names in lower case, with their values."}}},`+
		`"balance":{"enum":["least_request","affinity"],"default":"least_request","description":"How a backend is chosen: by load, or so that a conversation meets the same one."},`+
		`"max_load_percent":{"type":"integer","minimum":101,"maximum":1000,"default":200,"description":"With affinity: how much of its share of the load a backend may have."},`+
		`"backends":{"type":"array","minItems":1,"maxItems":64,"items":{"type":"object","additionalProperties":false,"required":["url"],"properties":{`+
		`"url":{"type":"string","format":"uri","pattern":"^https?://[^@?#]+$","description":"Base to which /v1/… is appended."},`+
		`"provider":{"enum":["vllm","vllm-responses"],"description":"The API of the backend; engine.provider when it is not given."},`+
		`"weight":{"type":"integer","minimum":1,"maximum":1000,"default":1,"description":"Share of the requests."},`+
		`"priority":{"type":"integer","minimum":0,"maximum":9,"default":0,"description":"Lower ones first; others when those fail."},`+
		`"model":{"type":"string","minLength":1,"maxLength":512,"description":"Name of the model that is sent to it."},`+
		`"api_key_file":{"type":"string","description":"File with the backend's key."},`+
		`"api_key_env":{"type":"string","description":"Environment variable with the backend's key."},`+
		`"connect_timeout":`+aDuration+`"response_timeout":`+aDuration+
		`"stream_idle_timeout":{"type":"string","pattern":"^([0-9]+(ms|s|m|h))+$","description":"Instead of the one of engine."},`+
		`"protocol":{"enum":["http1","http2"],"description":"Instead of the one of engine."},`+
		`"transport":{"enum":["auto","own","std"],"description":"Instead of the one of engine."},`+
		`"tls":{"type":"object","additionalProperties":false,"description":"Instead of the whole section engine.tls.","properties":{`+
		`"ca_file":{"type":"string"},"cert_file":{"type":"string"},"key_file":{"type":"string"},"server_name":{"type":"string"}}}}}}}}`...)
}

const (
	someTexts = `{"type":"array","minItems":1,"maxItems":100,"items":{"type":"string"},"description":`
	aDuration = `{"type":"string","pattern":"^([0-9]+(ms|s|m|h))+$","description":"Instead of the one of engine."},`
)
