package envoy

import (
	"time"

	"antwort/shared/config"
)

// speaksWebSocket reports whether clients may go on as WebSockets, which the backend
// speaks with them: over HTTP/1.1 alone. Elsewhere Envoy itself refuses it.
func (r *renderer) speaksWebSocket() bool {
	if r.c.Engine.Provider != config.VLLMResponses || !r.c.Websocket.Enabled || r.limited() { // nobody would count its turns
		return false
	}
	for i := range r.pools {
		if r.pools[i].backends[0].http2 {
			return false
		}
	}
	return true
}

// upgrades lets WebSockets through the filters. A route of its own says otherwise where
// it can; one that the filter names is not known yet, so there the filter does.
func (r *renderer) upgrades() any {
	if !r.speaksWebSocket() {
		return nil
	}
	return list{object{{"upgrade_type", "websocket"}}}
}

// noUpgrade keeps WebSockets off a route.
func (r *renderer) noUpgrade() any {
	if !r.speaksWebSocket() {
		return nil
	}
	return list{object{{"upgrade_type", "websocket"}, {"enabled", false}}}
}

// signOfLife is how long a WebSocket may be silent at least: an antwort serve asks after
// 20 s of silence whether the client is there.
const signOfLife = time.Minute

// socketWay is the way of WebSockets to the backends of a pool. How long one lasts is the
// backend's to say.
func (r *renderer) socketWay(p *pool) object {
	match := object{{"path", responsesPath}, {"headers", list{object{{"name", "upgrade"}, {"string_match", object{{"exact", "websocket"}, {"ignore_case", true}}}}}}}
	return r.wayOf(p, "websocket", match, responsesPath, max(p.silence(), signOfLife), nil)
}
