//go:build wasip1

package abi

import "unsafe"

//go:wasmimport env proxy_get_property
func hostGetProperty(path unsafe.Pointer, pathSize uint32, data, size unsafe.Pointer) uint32

//go:linkname getProperty github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.ProxyGetProperty
func getProperty(path *byte, pathSize int, data **byte, size *int) uint32 {
	status := hostGetProperty(ptr(path), uint32(pathSize), ptr(&written.data), ptr(&written.size))
	written.deliver(data, size)
	return status
}

//go:wasmimport env proxy_set_property
func hostSetProperty(path unsafe.Pointer, pathSize uint32, value unsafe.Pointer, valueSize uint32) uint32

//go:linkname setProperty github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.ProxySetProperty
func setProperty(path *byte, pathSize int, value *byte, valueSize int) uint32 {
	return hostSetProperty(ptr(path), uint32(pathSize), ptr(value), uint32(valueSize))
}

//go:wasmimport env proxy_get_shared_data
func hostGetSharedData(key unsafe.Pointer, keySize uint32, data, size unsafe.Pointer, cas unsafe.Pointer) uint32

//go:linkname getSharedData github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.ProxyGetSharedData
func getSharedData(key *byte, keySize int, data **byte, size *int, cas *uint32) uint32 {
	status := hostGetSharedData(ptr(key), uint32(keySize), ptr(&written.data), ptr(&written.size), ptr(cas))
	written.deliver(data, size)
	return status
}

//go:wasmimport env proxy_set_shared_data
func hostSetSharedData(key unsafe.Pointer, keySize uint32, value unsafe.Pointer, valueSize uint32, cas uint32) uint32

//go:linkname setSharedData github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.ProxySetSharedData
func setSharedData(key *byte, keySize int, value *byte, valueSize int, cas uint32) uint32 {
	return hostSetSharedData(ptr(key), uint32(keySize), ptr(value), uint32(valueSize), cas)
}

//go:wasmimport env proxy_register_shared_queue
func hostRegisterSharedQueue(name unsafe.Pointer, nameSize uint32, queueID unsafe.Pointer) uint32

//go:linkname registerSharedQueue github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.ProxyRegisterSharedQueue
func registerSharedQueue(name *byte, nameSize int, queueID *uint32) uint32 {
	return hostRegisterSharedQueue(ptr(name), uint32(nameSize), ptr(queueID))
}

//go:wasmimport env proxy_resolve_shared_queue
func hostResolveSharedQueue(vm unsafe.Pointer, vmSize uint32, name unsafe.Pointer, nameSize uint32, queueID unsafe.Pointer) uint32

//go:linkname resolveSharedQueue github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.ProxyResolveSharedQueue
func resolveSharedQueue(vm *byte, vmSize int, name *byte, nameSize int, queueID *uint32) uint32 {
	return hostResolveSharedQueue(ptr(vm), uint32(vmSize), ptr(name), uint32(nameSize), ptr(queueID))
}

//go:wasmimport env proxy_dequeue_shared_queue
func hostDequeueSharedQueue(queueID uint32, data, size unsafe.Pointer) uint32

//go:linkname dequeueSharedQueue github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.ProxyDequeueSharedQueue
func dequeueSharedQueue(queueID uint32, data **byte, size *int) uint32 {
	status := hostDequeueSharedQueue(queueID, ptr(&written.data), ptr(&written.size))
	written.deliver(data, size)
	return status
}

//go:wasmimport env proxy_enqueue_shared_queue
func hostEnqueueSharedQueue(queueID uint32, value unsafe.Pointer, valueSize uint32) uint32

//go:linkname enqueueSharedQueue github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.ProxyEnqueueSharedQueue
func enqueueSharedQueue(queueID uint32, value *byte, valueSize int) uint32 {
	return hostEnqueueSharedQueue(queueID, ptr(value), uint32(valueSize))
}
