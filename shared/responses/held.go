package responses

// Said returns how many bytes the answer has so far.
func (o *Output) Said() int { return len(o.items) + len(o.logprobs) }

// Held returns how many bytes of memory the items take.
func (o *Output) Held() int { return cap(o.items) + cap(o.logprobs) }
