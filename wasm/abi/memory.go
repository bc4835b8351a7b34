//go:build wasip1

package abi

import "unsafe"

// held keeps the buffers that the host asked for reachable: until a host call
// returns, only the host knows their addresses, and those the garbage
// collector cannot see.
var held [][]byte

// release ends the adapter's hold on the buffers of a host call. It is called
// once the result stands in a Go pointer of the caller.
func release() {
	clear(held)
	held = held[:0]
}

// proxy_on_memory_allocate gives the host size bytes to write a result into.
// They belong to the host call that is running and after it to its caller.
//
//go:wasmexport proxy_on_memory_allocate
func proxyOnMemoryAllocate(size int32) unsafe.Pointer {
	if size <= 0 {
		return nil
	}
	if into != nil {
		return unsafe.Pointer(unsafe.SliceData(makeRoom(int(size))))
	}
	buf := make([]byte, size)
	held = append(held, buf)
	return unsafe.Pointer(unsafe.SliceData(buf))
}

// result is what the host writes for a call that returns bytes: an address in
// the module's memory and a size, 4 bytes each.
type result struct{ data, size uint32 }

// written is where the host call that is running has its result: in one place
// for all, since a local variable whose address a host gets is allocated. Hosts
// write it as the last thing that a call does, and deliver follows at once.
var written result

// deliver hands the bytes that the host wrote to the SDK's out-parameters. They
// are in a buffer that the host call has asked for; without any, data is nil.
func (r *result) deliver(data **byte, size *int) {
	*data, *size = nil, int(r.size)
	for _, buf := range held {
		if start := unsafe.SliceData(buf); uint32(uintptr(unsafe.Pointer(start))) == r.data {
			*data = start
		}
	}
	*r = result{}
	release()
}

func ptr[T any](p *T) unsafe.Pointer { return unsafe.Pointer(p) }
