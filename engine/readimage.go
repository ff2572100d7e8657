package engine

import (
	"context"
	"io"
	"io/fs"
)

// ImageFile is a file below a folder of an image.
type ImageFile struct {
	Name string      // below that folder, with slashes and without dots: "lib/kernel-9.2/ebin/kernel.app"
	Size int64       // bytes
	Mode fs.FileMode // permissions; 0 where nobody knows
	// Link is what it leads to, an absolute path of the image, where it is a link: then it has no content.
	Link string
}

// ReadImage reads what is below an absolute folder of an image from where that was pushed to, without a machine: the files that a machine
// would have, in no order, each given to file with its content, which is read before file returns. A name that comes again takes the
// place of the one before. layers, unless nil, is told how many of the image's layers were read, and how many there are. What file returns
// ends it. It gives the digest of what image names, by which nobody can move that: "sha256:…". Package fly implements it.
type ReadImage func(ctx context.Context, image, folder string, layers func(done, total int64), file func(ImageFile, io.Reader) error) (digest string, err error)
