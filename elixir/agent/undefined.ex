defmodule FlyDeployAgent.Undefined do
  @moduledoc """
  Functions that are not exported any more, and who calls them still.
  """

  alias FlyDeployAgent.{CodeFacts, Mfas, Pair, Release}

  # Callbacks, and what only compilers call.
  @never_called [:code_change, :__info__, :module_info, :behaviour_info, :__struct__, :child_spec]

  # Changed modules, and others, whose code is read for names.
  @read 300

  @doc "The functions that changed modules export no more."
  @spec gone([Pair.t()]) :: MapSet.t(mfa)
  def gone(pairs), do: for(%{old: %{}} = pair <- pairs, mfa <- gone_of(pair), into: MapSet.new(), do: mfa)

  defp gone_of(%{module: module, old: old, new: new}) do
    for {f, a} <- MapSet.difference(old.exports, new.exports),
        f not in @never_called and not String.starts_with?("#{f}", "MACRO-"),
        do: {module, f, a}
  end

  @doc "The findings about calls of `gone`, and of modules that are removed."
  @spec findings([Pair.t()], MapSet.t(mfa), [{module, app :: atom}]) :: [FlyDeployAgent.Findings.finding()]
  def findings(pairs, gone, removed) do
    removed = MapSet.new(removed, &elem(&1, 0))

    if MapSet.size(gone) + MapSet.size(removed) == 0,
      do: [],
      else: pairs |> callers(removed) |> Enum.flat_map(&undefined_calls(&1, gone, removed))
  end

  @doc "The findings about `gone` that other code names, to be called by whoever gets the name."
  @spec names([Pair.t()], MapSet.t(mfa)) :: [FlyDeployAgent.Findings.finding()]
  def names(pairs, gone) do
    if MapSet.size(gone) == 0,
      do: [],
      else: pairs |> naming(gone) |> Enum.flat_map(fn {namer, code} -> named(namer, code, gone) end)
  end

  # Of very many that change, the code of all would take long to read. One after the other, as each takes memory.
  defp naming(pairs, gone) do
    few = if length(pairs) <= @read, do: pairs, else: []
    changed = MapSet.new(pairs, & &1.module)

    [modules, functions] =
      for n <- [0, 1], do: gone |> Enum.map(&"#{elem(&1, n)}") |> Enum.uniq() |> :binary.compile_pattern()

    unchanged =
      for {module, [_ | _] = file} <- :code.all_loaded(),
          module not in changed,
          Release.library?(List.to_string(file)),
          do: {module, file}

    unchanged
    |> Stream.flat_map(fn {module, file} ->
      for {:ok, beam} <- [File.read(file)],
          texts = CodeFacts.texts(beam),
          :binary.match(texts, modules) != :nomatch and :binary.match(texts, functions) != :nomatch,
          do: {module, beam}
    end)
    |> Stream.take(@read)
    |> Stream.flat_map(fn {module, beam} ->
      for {:ok, code} <- [CodeFacts.functions(beam)], do: {module, code}
    end)
    |> Stream.concat(Stream.map(few, &{&1.module, Pair.code(&1, :new)}))
  end

  defp named(namer, code, gone) do
    for mfa <- Mfas.of(code), mfa in gone, uniq: true do
      %{
        name: "mfa_gone",
        severity: :warn,
        subject: Exception.format_mfa(elem(mfa, 0), elem(mfa, 1), elem(mfa, 2)),
        detail: "is no longer exported, and #{inspect(namer)} names it, to be called"
      }
    end
  end

  # Changed modules by their new code, all others by the code that stays.
  defp callers(pairs, removed) do
    of_pairs = Stream.map(pairs, &{&1.module, &1.new.imports})
    Stream.concat(of_pairs, Stream.reject(unchanged(pairs), fn {module, _} -> module in removed end))
  end

  @doc "The release's modules that stay as they are, with what they import."
  @spec unchanged([Pair.t()]) :: Enumerable.t()
  def unchanged(pairs) do
    changed = MapSet.new(pairs, & &1.module)

    files =
      for {module, [_ | _] = file} <- :code.all_loaded(),
          module not in changed,
          Release.library?(List.to_string(file)),
          do: {module, file}

    Stream.flat_map(files, &imports/1)
  end

  defp imports({module, file}) do
    case :beam_lib.chunks(file, [:imports]) do
      {:ok, {_, [imports: imports]}} -> [{module, imports}]
      _ -> []
    end
  end

  defp undefined_calls({caller, imports}, gone, removed) do
    for {m, f, a} = mfa <- imports, mfa in gone or m in removed do
      {severity, what} =
        if mfa in gone,
          do: {:block, "is no longer exported"},
          else: {:warn, "goes with its module at the next restart"}

      %{
        name: "undefined_function",
        severity: severity,
        subject: Exception.format_mfa(m, f, a),
        detail: "#{what}, and #{inspect(caller)} still calls it"
      }
    end
  end
end
