//go:build wasip1

package abi

import "unsafe"

//go:wasmimport env proxy_define_metric
func hostDefineMetric(kind uint32, name unsafe.Pointer, nameSize uint32, metricID unsafe.Pointer) uint32

//go:linkname defineMetric github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.ProxyDefineMetric
func defineMetric(kind uint32, name *byte, nameSize int, metricID *uint32) uint32 {
	return hostDefineMetric(kind, ptr(name), uint32(nameSize), ptr(metricID))
}

//go:wasmimport env proxy_increment_metric
func hostIncrementMetric(metricID uint32, offset int64) uint32

//go:linkname incrementMetric github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.ProxyIncrementMetric
func incrementMetric(metricID uint32, offset int64) uint32 {
	return hostIncrementMetric(metricID, offset)
}

//go:wasmimport env proxy_record_metric
func hostRecordMetric(metricID uint32, value uint64) uint32

//go:linkname recordMetric github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.ProxyRecordMetric
func recordMetric(metricID uint32, value uint64) uint32 {
	return hostRecordMetric(metricID, value)
}

//go:wasmimport env proxy_get_metric
func hostGetMetric(metricID uint32, value unsafe.Pointer) uint32

//go:linkname getMetric github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.ProxyGetMetric
func getMetric(metricID uint32, value *uint64) uint32 {
	return hostGetMetric(metricID, ptr(value))
}
