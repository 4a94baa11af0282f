"""build.py NOTEBOOK: put the cells into the notebook, keeping its metadata but for the widgets' state."""
import json, sys
sys.path.insert(0,'/tmp/work/new10'); from cells import CELLS
p=sys.argv[1]; nb=json.load(open(p))
cells=[]
for cid,kind,text,tags in CELLS:
    c={"cell_type":kind,"id":cid,"metadata":{"tags":list(tags)} if tags else {},"source":text.rstrip("\n").splitlines(keepends=True)}
    if kind=="code": c |= {"execution_count":None,"outputs":[]}
    cells.append(c)
assert len({c["id"] for c in cells})==len(cells)
nb["cells"]=cells; nb["metadata"].pop("widgets",None)
nb["metadata"]["sslbook"]={"evidence":{"DRAWS":10,"EVERYTHING":True,"PRETRAINING_SEEDS":5},"smoke":{"DRAWS":2,"EPOCHS":4,"SCAN_EPOCHS":2,"NETWORK_DRAWS":2,"MOST_STEPS":60,"SCAN_STEPS":60}}
json.dump(nb,open(p,"w"),indent=1,ensure_ascii=False); open(p,"a").write("\n")
words=sum(len(c["source"] and "".join(c["source"]).split()) for c in cells if c["cell_type"]=="markdown"); codes=[c for c in cells if c["cell_type"]=="code"]
print(words,"words",len(codes),"code cells", sorted(sum(bool(l.strip()) for l in c["source"]) for c in codes)[len(codes)//2],'median', max((sum(bool(l.strip()) for l in c["source"]),c["id"]) for c in codes))
