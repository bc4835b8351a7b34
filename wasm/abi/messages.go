//go:build wasip1

package abi

import "unsafe"

//go:wasmimport env proxy_get_header_map_value
func hostGetHeaderMapValue(kind uint32, key unsafe.Pointer, keySize uint32, data, size unsafe.Pointer) uint32

//go:linkname getHeaderMapValue github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.ProxyGetHeaderMapValue
func getHeaderMapValue(kind uint32, key *byte, keySize int, data **byte, size *int) uint32 {
	status := hostGetHeaderMapValue(kind, ptr(key), uint32(keySize), ptr(&written.data), ptr(&written.size))
	written.deliver(data, size)
	return status
}

//go:wasmimport env proxy_add_header_map_value
func hostAddHeaderMapValue(kind uint32, key unsafe.Pointer, keySize uint32, value unsafe.Pointer, valueSize uint32) uint32

//go:linkname addHeaderMapValue github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.ProxyAddHeaderMapValue
func addHeaderMapValue(kind uint32, key *byte, keySize int, value *byte, valueSize int) uint32 {
	return hostAddHeaderMapValue(kind, ptr(key), uint32(keySize), ptr(value), uint32(valueSize))
}

//go:wasmimport env proxy_replace_header_map_value
func hostReplaceHeaderMapValue(kind uint32, key unsafe.Pointer, keySize uint32, value unsafe.Pointer, valueSize uint32) uint32

//go:linkname replaceHeaderMapValue github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.ProxyReplaceHeaderMapValue
func replaceHeaderMapValue(kind uint32, key *byte, keySize int, value *byte, valueSize int) uint32 {
	return hostReplaceHeaderMapValue(kind, ptr(key), uint32(keySize), ptr(value), uint32(valueSize))
}

//go:wasmimport env proxy_remove_header_map_value
func hostRemoveHeaderMapValue(kind uint32, key unsafe.Pointer, keySize uint32) uint32

//go:linkname removeHeaderMapValue github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.ProxyRemoveHeaderMapValue
func removeHeaderMapValue(kind uint32, key *byte, keySize int) uint32 {
	return hostRemoveHeaderMapValue(kind, ptr(key), uint32(keySize))
}

//go:wasmimport env proxy_get_header_map_pairs
func hostGetHeaderMapPairs(kind uint32, data, size unsafe.Pointer) uint32

//go:linkname getHeaderMapPairs github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.ProxyGetHeaderMapPairs
func getHeaderMapPairs(kind uint32, data **byte, size *int) uint32 {
	status := hostGetHeaderMapPairs(kind, ptr(&written.data), ptr(&written.size))
	written.deliver(data, size)
	return status
}

//go:wasmimport env proxy_set_header_map_pairs
func hostSetHeaderMapPairs(kind uint32, pairs unsafe.Pointer, pairsSize uint32) uint32

//go:linkname setHeaderMapPairs github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.ProxySetHeaderMapPairs
func setHeaderMapPairs(kind uint32, pairs *byte, pairsSize int) uint32 {
	return hostSetHeaderMapPairs(kind, ptr(pairs), uint32(pairsSize))
}

//go:wasmimport env proxy_get_buffer_bytes
func hostGetBufferBytes(kind uint32, start uint32, max uint32, data, size unsafe.Pointer) uint32

//go:linkname getBufferBytes github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.ProxyGetBufferBytes
func getBufferBytes(kind uint32, start int, max int, data **byte, size *int) uint32 {
	status := hostGetBufferBytes(kind, uint32(start), uint32(max), ptr(&written.data), ptr(&written.size))
	written.deliver(data, size)
	return status
}

//go:wasmimport env proxy_set_buffer_bytes
func hostSetBufferBytes(kind uint32, start uint32, max uint32, buf unsafe.Pointer, bufSize uint32) uint32

//go:linkname setBufferBytes github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.ProxySetBufferBytes
func setBufferBytes(kind uint32, start int, max int, buf *byte, bufSize int) uint32 {
	return hostSetBufferBytes(kind, uint32(start), uint32(max), ptr(buf), uint32(bufSize))
}
