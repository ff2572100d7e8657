defprotocol Ledger.Show do
  @fallback_to_any true
  def show(term)
end

defimpl Ledger.Show, for: Any do
  def show(_), do: "any"
end

defimpl Ledger.Show, for: Integer do
  def show(n), do: "int #{n}"
end
