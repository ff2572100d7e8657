//go:build !linux

package local

import "errors"

func newNamespaces(string, int, []*service) (isolation, error) {
	return nil, errors.New("machines in namespaces need Linux")
}
