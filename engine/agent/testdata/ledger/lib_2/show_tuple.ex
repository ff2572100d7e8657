defimpl Ledger.Show, for: Tuple do
  def show(tuple), do: "tuple #{tuple_size(tuple)}"
end
