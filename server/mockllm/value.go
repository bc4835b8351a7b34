package mockllm

import "github.com/valyala/fastjson"

func present(v *fastjson.Value) bool { return v != nil && v.Type() != fastjson.TypeNull }
func isFalse(v *fastjson.Value) bool { return v != nil && v.Type() == fastjson.TypeFalse }

func isNumber(v *fastjson.Value) bool { return v.Type() == fastjson.TypeNumber }
func isString(v *fastjson.Value) bool { return v.Type() == fastjson.TypeString }
func isBool(v *fastjson.Value) bool {
	return v.Type() == fastjson.TypeTrue || v.Type() == fastjson.TypeFalse
}

func isInt(v *fastjson.Value) bool {
	f, err := v.Float64()
	return err == nil && f == float64(int64(f))
}
func isObject(v *fastjson.Value) bool { return v.Type() == fastjson.TypeObject }
func isArray(v *fastjson.Value) bool  { return v.Type() == fastjson.TypeArray }

var null = fastjson.MustParse("null")

func orNull(v *fastjson.Value) *fastjson.Value {
	if v == nil {
		return null
	}
	return v
}

func oneOf(s string, list []string) bool {
	for _, l := range list {
		if s == l {
			return true
		}
	}
	return false
}
