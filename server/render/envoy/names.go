package envoy

// Names that several parts of the configuration share.
const (
	backendCluster = "backend" // of engine.backend_url
	controlCluster = "control" // the parent process, or Envoy's admin interface
	jwksCluster    = "jwks"    // where the keys of tokens are
	otlpCluster    = "otlp"    // where spans go
	limitsCluster  = "limits"  // limits.service

	// routeField tells Envoy's routes what the filter has chosen, affinityField
	// the conversation that a request belongs to. The filter alone sets them.
	routeField    = "x-antwort-route"
	affinityField = "x-antwort-affinity"

	// probeRoute is the name of the routes whose requests are not logged.
	probeRoute = "probe"

	responsesPath = "/v1/responses"
	conversations = "/v1/conversations"
	modelsPath    = "/v1/models"
	chatPath      = "/v1/chat/completions"
	tokenizePath  = "/tokenize"
)
