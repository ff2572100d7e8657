package record

import (
	"bytes"
	"compress/flate"
	"io"
)

// pieces is a stream in memory. Of a large fleet it is many megabytes, of which hardly anybody reads but the end: all pieces but the last
// are packed.
type pieces struct {
	packed [][]byte
	last   []byte // only ever appended to, so that readers need no copy
	packer *flate.Writer
}

func (p *pieces) count() int { return len(p.packed) + 1 }

// at gives the n-th piece, from 0.
func (p *pieces) at(n int) []byte {
	if n == len(p.packed) {
		return p.last
	}
	body, _ := io.ReadAll(flate.NewReader(bytes.NewReader(p.packed[n]))) // ours
	return body
}

// next packs the last piece, and begins another.
func (p *pieces) next() {
	var packed bytes.Buffer
	if p.packer == nil {
		p.packer, _ = flate.NewWriter(&packed, flate.BestSpeed) // a level that there is
	} else {
		p.packer.Reset(&packed)
	}
	_, _ = p.packer.Write(p.last) // into memory
	_ = p.packer.Close()
	p.packed, p.last = append(p.packed, bytes.Clone(packed.Bytes())), nil
}
