package responses

// Held returns how many bytes of memory the items take.
func (o *Output) Held() int { return cap(o.items) + cap(o.logprobs) }
