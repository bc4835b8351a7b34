package codex

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
)

// dot is a PNG of one red pixel.
var dot = func() []byte {
	img := image.NewRGBA(image.Rect(0, 0, 1, 1))
	img.Set(0, 0, color.RGBA{255, 0, 0, 255})
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		panic(err) // of a constant
	}
	return b.Bytes()
}()
