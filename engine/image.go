package engine

import "strings"

// SameImage reports whether two references name the same image. Repository and tag must be equal; digests are compared only
// where both have one, since a machine's own FLY_IMAGE_REF may carry a digest that the record lacks, or the reverse.
func SameImage(a, b string) bool {
	aName, aDigest := splitDigest(a)
	bName, bDigest := splitDigest(b)
	if aName != bName {
		return false
	}
	return aDigest == "" || bDigest == "" || aDigest == bDigest
}

func splitDigest(ref string) (name, digest string) {
	name, digest, _ = strings.Cut(ref, "@")
	return name, digest
}

// Repository gives HOST/APP of HOST/APP:TAG@DIGEST.
func Repository(ref string) string {
	name, _ := splitDigest(ref)
	if colon := strings.LastIndex(name, ":"); colon > strings.LastIndex(name, "/") {
		return name[:colon]
	}
	return name
}

// Tag gives TAG of HOST/APP:TAG@DIGEST; "" where there is none.
func Tag(ref string) string {
	name, _ := splitDigest(ref)
	return strings.TrimPrefix(strings.TrimPrefix(name, Repository(ref)), ":")
}
