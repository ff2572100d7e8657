defmodule FlyDeployAgent.FunctionChanges do
  @moduledoc """
  Which functions of each module an upgrade adds, changes and removes, for people who read the plan. It is read from the files of both
  versions, for some seconds at most: what is not read by then is not told.
  """

  alias FlyDeployAgent.CodeFacts

  @time_ms 5_000
  # A status has no room for more.
  @modules 200

  @type t :: %{added: [binary], changed: [binary], removed: [binary]}

  @doc """
  Tells the functions of changed modules, one module after the other, such as `handle_call/3`. Of an added one these are its exports. `code`
  gives what every function of a file does, none where it cannot be read.
  """
  @spec each([FlyDeployAgent.Diff.change()], (Path.t() -> CodeFacts.code()), (module, t -> any)) :: any
  def each(changes, code, tell) do
    until = now() + @time_ms

    for %{module: module} = change <- Enum.take(changes, @modules),
        now() < until,
        do: tell.(module, of(change, code))
  end

  defp now, do: System.monotonic_time(:millisecond)

  defp of(%{change: :added, source: source}, _code) do
    with {:ok, beam} <- File.read(source), {:ok, %{exports: exports}} <- CodeFacts.read(beam) do
      %{told([]) | added: exports |> Enum.reject(&hidden?/1) |> names()}
    else
      _ -> told([])
    end
  end

  defp of(%{old_file: old_file, source: source}, code) do
    {old, new} = {code.(old_file), code.(source)}
    if old == %{} or new == %{}, do: told([]), else: told(differences(old, new))
  end

  @doc "What differs between the code of two versions: `{:added | :changed | :removed, {name, arity}}`."
  @spec differences(CodeFacts.code(), CodeFacts.code()) :: [{:added | :changed | :removed, {atom, arity}}]
  def differences(old, new) do
    {inner, whole} = (Map.keys(old) ++ Map.keys(new)) |> Enum.uniq() |> Enum.split_with(&inner?/1)

    # A function has changed as well if one within it has.
    within = for f <- inner, old[f] != new[f], owner = owner(f), into: MapSet.new(), do: owner

    for f <- whole, how = how(f, old[f], new[f], within), do: {how, f}
  end

  defp how(_f, nil, _new, _within), do: :added
  defp how(_f, _old, nil, _within), do: :removed
  defp how(f, same, same, within), do: if(f in within, do: :changed)
  defp how(_f, _old, _new, _within), do: :changed

  # The compiler makes `-handle_call/3-fun-0-` of a `fn`, and likewise of comprehensions.
  defp inner?({name, _arity}), do: match?("-" <> _, Atom.to_string(name))

  defp owner({name, _arity}) do
    with [_, name, arity] <- Regex.run(~r"^-(.+?)/(\d+)-", Atom.to_string(name)),
         do: {String.to_atom(name), String.to_integer(arity)}
  end

  defp hidden?({name, _arity}), do: name in [:module_info, :__info__]

  defp told(found) do
    of = Enum.group_by(found, &elem(&1, 0), &elem(&1, 1))
    for how <- [:added, :changed, :removed], into: %{}, do: {how, names(of[how] || [])}
  end

  defp names(functions), do: for({f, a} <- Enum.sort(functions), do: "#{f}/#{a}")
end
